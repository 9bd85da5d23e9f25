;;; Closing while other threads make slices: each slice is empty afterwards, or was refused with
;;; mapping-closed; no other error comes up, and nothing crashes.
;;; SPDX-License-Identifier: MIT

(use-modules (gcmmap) (guile tap) (ice-9 threads) (rnrs bytevectors) (srfi srfi-1))

;; Slices until the mapping is closed: the last ones and the key of the error.
(define (slice-until-closed bytes)
  (let ((ring (make-vector 64 bytes)))
    (catch #t
      (lambda ()
        (let loop ((i 0))
          (vector-set! ring (logand i 63) (mapped-slice bytes 1 3))
          (loop (1+ i))))
      (lambda (key . rest) (cons key (vector->list ring))))))

(with-file 1 5000
  (lambda (path)
    (define (round)
      (let* ((bytes (map-file path))
             (threads (map (lambda (i) (call-with-new-thread
                                        (lambda () (slice-until-closed bytes))))
                           (iota 3))))
        (usleep 200)
        (close-mapping bytes)
        (map join-thread threads)))
    (let ((results (append-map (lambda (i) (round)) (iota 120))))
      (is (delete-duplicates (map car results)) '(mapping-closed) "refused as closed")
      (is (filter (lambda (slice) (not (zero? (bytevector-length slice))))
                  (append-map cdr results))
          '() "no slice has bytes after closing")
      (is (n-maps-of path) 0 "nothing is mapped"))))

(finish)
