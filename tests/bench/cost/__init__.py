"""What layering costs as the base grows, beside dnf, rpm and the classic way."""
