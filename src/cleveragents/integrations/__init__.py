"""How do agents of other frameworks come behind the door?"""
