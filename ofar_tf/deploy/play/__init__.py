"""Files laid out for Play device targeting, and what an app needs to pick one."""
