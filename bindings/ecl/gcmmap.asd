;;;; SPDX-License-Identifier: MIT
(asdf:defsystem "gcmmap"
  :description "Files as vectors of octets, without a copy, unmapped by the collector (ECL)."
  :license "MIT"
  :components ((:file "gcmmap")))
