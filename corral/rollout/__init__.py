"""Rollouts: how a release comes to all app servers, behind gates, and how it goes back when one fails."""
