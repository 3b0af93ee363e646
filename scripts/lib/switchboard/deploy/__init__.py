"""What scripts/check-deploy is made of. All but `__main__` runs in an environment that has PyYAML and Kubernetes' schemas."""
