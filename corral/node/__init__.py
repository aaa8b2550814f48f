"""What runs on a node itself, and ships in its bundle: nothing here asks AWS through boto3."""
