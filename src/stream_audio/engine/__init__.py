"""What runs a session: the router, the deliveries and their account."""
