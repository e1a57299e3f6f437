"""The acts, by what they attack. An act returns what it got, or raises OSError (refused) or Limited."""
