;;; Which words of a file are longest?  Words are slices of the mapped file: none is copied
;;; before it is printed, and the file is unmapped once the words are forgotten.
;;;
;;;     guile example.scm /usr/share/dict/words
;;;
;;; SPDX-License-Identifier: MIT
(use-modules (gcmmap) (rnrs bytevectors) (ice-9 match) (srfi srfi-1))

(define (words path)
  (define bytes (map-file path))
  (let loop ((i 0) (start 0) (found '()))
    (cond ((= i (bytevector-length bytes)) found)
          ((> (bytevector-u8-ref bytes i) 32) (loop (1+ i) start found))
          ((= i start) (loop (1+ i) (1+ i) found))
          (else (loop (1+ i) (1+ i) (cons (mapped-slice bytes start (- i start)) found))))))

(define (longer? a b)
  (> (bytevector-length a) (bytevector-length b)))

(match (command-line)
  ((_ path)
   (let ((found (sort (words path) longer?)))
     (for-each (lambda (word) (display (utf8->string word)) (newline))
               (take found (min 5 (length found)))))))
