"""Files laid out for Google Play's device targeting."""
