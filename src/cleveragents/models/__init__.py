"""Who is asked: model providers and prices."""
