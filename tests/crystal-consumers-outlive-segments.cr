# Consumers (fibers) hold slices of segments that are closed, deleted and replaced.
# SPDX-License-Identifier: MIT

require "./crystal/consumers"
