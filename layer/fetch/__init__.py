"""Downloads from package repositories, checked before anybody sees them; sole user of librepo.

What metadata say of where files are is believed only below the repository.
Every file appears in its place by a rename, so that an interruption leaves
what was there before.
"""
