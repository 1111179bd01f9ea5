"""What was checked of encoder and labels before any image was measured."""
