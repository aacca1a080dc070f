"""May it happen? Pure: values in, one decision with its reason out."""
