"""Package layering for image-based Linux systems."""
