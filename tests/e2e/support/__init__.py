"""What the end-to-end tests share: the platform as data, runs of playbooks, probes and small clients."""
