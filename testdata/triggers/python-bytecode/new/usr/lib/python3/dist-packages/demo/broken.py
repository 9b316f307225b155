def {{ name }}():
