# SPDX-License-Identifier: Apache-2.0
"""The workers, the query service and the command line of homelab.ai."""
