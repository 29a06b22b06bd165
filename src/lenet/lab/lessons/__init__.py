"""Lessons for the lab's page: ours as JSON in this folder, and those that teachers write."""
