"""Which tables are there, and how did they come about?"""
