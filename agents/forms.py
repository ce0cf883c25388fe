"""What people type in."""

from django import forms


class SignupForm(forms.Form):
    """Asks for the company's name when somebody signs up."""
