"""Channel groups, masks, costs, budgets and the compact networks they define."""
