"""Revenue: the document's figures from its inputs, and what invoices say."""

from decimal import Decimal

import pytest

from billing import reports, services
from billing.revenue import YEARS, Inputs, forecast
from tests.billing.customers import CLOSED, FEBRUARY, came_early, on_plan, use


def test_year_one_and_year_two_of_the_strategy():
    one, two = (forecast(year) for year in YEARS)
    assert [one.hosting, one.managed_customers, one.managed, one.total, one.growth] == [
        Decimal("14400.00"),
        Decimal(32),
        Decimal("768.00"),
        Decimal("15168.00"),
        Decimal("5.3"),
    ]
    assert [two.hosting, two.managed_customers, two.managed, two.total, two.growth] == [
        Decimal("50000.00"),
        Decimal(125),
        Decimal("6250.00"),
        Decimal("56250.00"),
        Decimal("12.5"),
    ]


def test_without_hosting_there_is_nothing_to_add_to():
    nobody = Inputs(customers=0, hosting=Decimal(180), share=Decimal(40), agents=Decimal(3), per_agent=Decimal(8))
    assert forecast(nobody).growth is None


@pytest.mark.django_db(transaction=True)
def test_what_invoices_say(elena, alex):
    came_early(alex)
    use(on_plan(elena, "economy"), 2_500_000)
    services.grant_credit(workspace=alex.workspace, amount=Decimal("30.00"), reason="Outage", by="Staff")
    services.close(workspace_ids=[elena.workspace.pk, alex.workspace.pk], month=FEBRUARY, at=CLOSED)
    [february] = reports.revenue()
    assert (february.hosting, february.plans, february.overage, february.credits) == (
        Decimal("360.00"),
        Decimal("5.00"),
        Decimal("1.00"),
        Decimal("-30.00"),
    )
    assert (february.customers, february.on_managed, february.share_on_managed) == (2, 1, Decimal("50.0"))
    assert (february.total, february.growth) == (Decimal("336.00"), Decimal("1.7"))
