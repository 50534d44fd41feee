"""What every part shares: processes, clusters, a small RESP client, reports and history checks."""
