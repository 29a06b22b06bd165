"""Sentences for people: which language they ask for, and what LeNet says in Chinese."""
