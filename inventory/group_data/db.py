"""What the database server knows beside what every host does."""

from corral.settings import load

__settings = load()

role = "db"
database = {
    "version": __settings.db.version,
    "name": __settings.db.database,
    "user": __settings.db.user,
}
database_password_parameter = __settings.parameter("app", "database-password")
private_name = f"db.{__settings.private_zone}"
