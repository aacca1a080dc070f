"""What a hostile model, client or provider tries, each through the way that it really has."""
