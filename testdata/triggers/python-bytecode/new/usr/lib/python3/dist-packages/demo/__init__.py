GREETINGS = frozenset({"good morning", "good evening"})
