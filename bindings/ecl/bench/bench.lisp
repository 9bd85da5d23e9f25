;;;; gcmmap in ECL against the usual way: reading the file into a vector, as ECL has no mmap.
;;;;
;;;;     make bench-ecl
;;;;
;;;; First map (or read) a file, make ten slices, read one byte through each, drop all, many
;;;; times, contenders alternating.  Then collections with a million displaced arrays live.
;;;;
;;;; SPDX-License-Identifier: MIT
(defpackage "BENCH" (:use "COMMON-LISP" "GCMMAP"))
(in-package "BENCH")

(defvar *path* (namestring (ext:mkstemp "/tmp/gcmmap-bench-")))
(with-open-file (stream *path* :direction :output :if-exists :supersede
                               :element-type '(unsigned-byte 8))
  (dotimes (i 65536) (write-byte 97 stream)))

(defun read-file (path)
  (with-open-file (stream path :element-type '(unsigned-byte 8))
    (let ((octets (make-array (file-length stream) :element-type '(unsigned-byte 8))))
      (read-sequence octets stream)
      octets)))

(defun displaced (array start end)
  (make-array (- end start) :element-type '(unsigned-byte 8) :displaced-to array
                            :displaced-index-offset start))

(defun milliseconds (function)
  (let ((start (get-internal-real-time)))
    (funcall function)
    (/ (- (get-internal-real-time) start) internal-time-units-per-second 1e-3)))

(defun show (name times per unit)
  (let ((times (sort (mapcar (lambda (time) (/ time per)) times) #'<)))
    (format t "  ~36A best ~,2F, median ~,2F ~A~%" name (first times)
            (nth (floor (length times) 2) times) unit)))

(defun cycles (map-it slice)
  (dotimes (i 2000)
    (let ((octets (funcall map-it *path*)))
      (dotimes (k 10)
        (aref (funcall slice octets (* k 6000) (+ 100 (* k 6000))) 50)))))

(format t "a file of 64 KiB, ten slices, read, drop:~%")
(loop repeat 7
      collect (milliseconds (lambda () (cycles #'map-file #'mapped-slice) (collect-mappings)))
        into ours
      collect (milliseconds (lambda () (cycles #'read-file #'displaced) (ext:gc t))) into usual
      finally (show "gcmmap" ours 2 "us a cycle")
              (show "read-sequence, displaced arrays" usual 2 "us a cycle"))

(defun collections (name slice octets)
  (let ((slices (make-array 1000000)))
    (dotimes (i 1000000)
      (let ((start (mod (* i 61) 65000)))
        (setf (aref slices i) (funcall slice octets start (+ start 100)))))
    (ext:gc t)
    (show name (loop repeat 9 collect (milliseconds (lambda () (ext:gc t)))) 1 "ms")
    (length slices)))

(format t "a collection with a million slices:~%")
(show "none" (loop repeat 9 collect (milliseconds (lambda () (ext:gc t)))) 1 "ms")
(collections "gcmmap" #'mapped-slice (map-file *path*))
(ext:gc t)
(collections "displaced arrays on the heap" #'displaced (read-file *path*))
(delete-file *path*)
