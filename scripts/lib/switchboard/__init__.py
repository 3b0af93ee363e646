"""What scripts/start, scripts/test and scripts/sqlx-prepare are made of. Standard library only."""
