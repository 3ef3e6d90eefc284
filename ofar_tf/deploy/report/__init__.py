"""`report.html`: the family on one page that works offline."""
