"""Model tiers: who answers a layer's model calls, in which order of failover, at which price."""
