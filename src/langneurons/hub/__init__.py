"""The Hugging Face Hub: access, requests, downloads, and its errors in words."""
