"""Django's entry to the staff's pages."""

from django.contrib.admin.apps import AdminConfig


class StaffAdminConfig(AdminConfig):
    """The admin, in the site of ``vutler.staff``."""

    default_site = "vutler.staff.StaffSite"
