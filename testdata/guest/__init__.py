"""A virtual machine on which layer itself is part of the base."""
