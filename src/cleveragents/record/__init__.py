"""What happened: the journal, its chain, and the views read from it."""
