"""A strict stand-in for Kibana: its status, its saved objects, and a plain page that searches."""
