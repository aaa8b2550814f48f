"""A strict stand-in for Filebeat: files and the journal to Logstash, at least once."""
