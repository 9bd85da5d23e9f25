# The same with consumers on four threads.
# flags: -Dpreview_mt
# SPDX-License-Identifier: MIT

require "./crystal/consumers"
