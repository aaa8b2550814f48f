"""A strict stand-in for Logstash: from Beats, through a queue on disk, to Elasticsearch."""
