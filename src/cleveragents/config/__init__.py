"""What is asked: files and settings, parsed once into typed values."""
