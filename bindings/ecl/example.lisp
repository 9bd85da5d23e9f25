;;;; Which lines of a file hold a word?  Lines are slices of the mapped file: none is copied
;;;; before it is printed, and the file is unmapped once the lines are forgotten.
;;;;
;;;;     ecl --load example.lisp --eval '(print-lines "error" "/var/log/syslog")'
;;;;
;;;; SPDX-License-Identifier: MIT
(require :asdf)
(asdf:load-system "gcmmap")

(defun lines (octets)
  (loop with start = 0
        for end = (position 10 octets :start start)
        collect (gcmmap:mapped-slice octets start end)
        while end
        do (setf start (1+ end))))

(defun print-lines (word path)
  (let ((wanted (map 'vector #'char-code word)))
    (dolist (line (lines (gcmmap:map-file path)))
      (when (search wanted line)
        (write-line (map 'string #'code-char line))))))
