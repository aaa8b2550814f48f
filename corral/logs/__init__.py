"""The lines of all hosts: which are wanted, how they are got of Elasticsearch, how they are shown."""
