"""The one room that starts processes: plain host commands, and triggers in their sandbox."""
