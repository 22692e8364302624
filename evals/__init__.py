"""Numbers for every claim: gold questions, metrics, reports. Imports assistant; nothing imports it."""
