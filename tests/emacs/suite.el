;;; suite.el --- What a user of Emacs sees -*- lexical-binding: t -*-

;;; Commentary:

;; From eglot down to the server's process.  The only configuration is the README's block of Emacs
;; Lisp.  The tiny model scores low what adds the word `bad', and all else high.

;;; Code:

(require 'cl-lib)
(require 'ert)
(require 'flymake)

(defconst suite-patience 30 "Seconds; only a failure takes so long.")

(defun suite-configuration ()
  "The README's block of Emacs Lisp."
  (with-temp-buffer
    (insert-file-contents (getenv "DIFFIDENCE_README"))
    (re-search-forward "^```elisp\n\\(\\(?:.*\n\\)+?\\)```$")
    (match-string 1)))

(eval (car (read-from-string (concat "(progn " (suite-configuration) ")"))) t)

;; An idle Emacs would do these by itself, but a batch one is never idle.
(defun suite-tell-edits () "Tell the server what was edited." (eglot--signal-textDocument/didChange))

(defun suite-eventually (what probe)
  "Wait until PROBE returns non-nil, and return that; WHAT is for the failure."
  (let ((deadline (time-add nil suite-patience)) value)
    (while (not (setq value (funcall probe)))
      (when (time-less-p deadline nil)
        (ert-fail (list 'never what 'diagnostics (suite-low))))
      (accept-process-output nil 0.02))
    value))

(defun suite-git (repository &rest arguments)
  "Run git with ARGUMENTS in REPOSITORY."
  (with-temp-buffer
    (unless (eq 0 (apply #'call-process "git" nil t nil "-C" repository
                         "-c" "user.name=t" "-c" "user.email=t@example.org" arguments))
      (error "Git %s: %s" arguments (buffer-string)))))

(defun suite-low ()
  "The diagnostics of the current buffer: (LINE . TEXT), the lowest line first."
  (mapcar (lambda (diagnostic)
            (cons (line-number-at-pos (flymake-diagnostic-beg diagnostic))
                  (flymake-diagnostic-text diagnostic)))
          (sort (flymake-diagnostics)
                (lambda (a b) (< (flymake-diagnostic-beg a) (flymake-diagnostic-beg b))))))

(defun suite-eventually-low (line)
  "Wait until the only diagnostic is on LINE, or there is none if LINE is nil."
  (suite-eventually (list 'low-hunk line)
                    (lambda () (equal (mapcar #'car (suite-low)) (and line (list line)))))
  (when line
    (should (string-match-p "\\b12% likely correct" (cdar (suite-low))))))

(defun suite-replace (before after)
  "Replace BEFORE by AFTER in the current buffer, unsaved."
  (goto-char (point-min))
  (search-forward before)
  (replace-match after t t)
  (suite-tell-edits))

(defun suite-hover (text)
  "What hovering TEXT tells."
  (goto-char (point-min))
  (search-forward text)
  (let (told)
    (suite-eventually (list 'hover text)
                      (lambda ()
                        (eglot-hover-eldoc-function (lambda (info &rest _) (setq told info)))
                        (accept-process-output nil 0.1)
                        told))))

(defmacro suite-with-repository (text &rest body)
  "Run BODY in a buffer of a committed file, whose work tree version is TEXT, with a server."
  (declare (indent 1))
  `(let* ((repository (make-temp-file "suite" t))
          (file (expand-file-name "prices.py" repository))
          buffer)
     (unwind-protect
         (progn
           (suite-git repository "init" "-q" "-b" "main")
           (with-temp-file file (insert "first = 1\nsecond = 2\nthird = 3\n"))
           (suite-git repository "add" "-A")
           (suite-git repository "commit" "-qm" "base")
           (with-temp-file file (insert ,text))
           (setq buffer (find-file-noselect file))
           ;; Hover is told only to a buffer that is shown.
           (switch-to-buffer buffer)
           (apply #'eglot (eglot--guess-contact))
           (suite-eventually 'server #'eglot-current-server)
           (flymake-start)
           ,@body)
       (when (buffer-live-p buffer)
         (with-current-buffer buffer
           (when (eglot-current-server)
             (eglot-shutdown (eglot-current-server) nil suite-patience))
           (set-buffer-modified-p nil))
         (kill-buffer buffer))
       (cl-assert (file-in-directory-p repository temporary-file-directory))
       (delete-directory repository t))))

(ert-deftest suite-low-hunk-until-mended ()
  "A low-scoring hunk has a diagnostic until it is mended."
  (suite-with-repository "first = 1\nsecond = bad\nthird = 3\n"
    (suite-eventually-low 2)
    (suite-replace "bad" "2")
    (suite-eventually-low nil)))

(ert-deftest suite-unsaved-edit ()
  "What is not saved is scored, with the right columns after an emoji."
  (suite-with-repository "first = 1\nsecond = 2\nthird = 3\n"
    (suite-replace "third = 3" "third = '😀 bad'")
    (suite-eventually-low 3)
    (let ((diagnostic (car (flymake-diagnostics))))
      (should (equal "third = '😀 bad'"
                     (buffer-substring (flymake-diagnostic-beg diagnostic)
                                       (flymake-diagnostic-end diagnostic)))))
    (suite-replace "bad" "fine")
    (suite-eventually-low nil)))

(ert-deftest suite-hover-tells-the-score ()
  "Hovering a changed line tells its score."
  (suite-with-repository "first = 1\nsecond = fine\nthird = 3\n"
    (should (string-match-p "87% likely correct" (suite-hover "second")))
    (should-not (suite-low))))

(ert-deftest suite-commit-clears ()
  "A commit in a terminal clears the diagnostic."
  (suite-with-repository "first = 1\nsecond = bad\nthird = 3\n"
    (suite-eventually-low 2)
    (suite-git repository "commit" "-qam" "done")
    (suite-eventually-low nil)))

;;; suite.el ends here
