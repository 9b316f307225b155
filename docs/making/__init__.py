"""What makes the parts of docs/ that nobody writes by hand."""
