// A modal dialog by the browser's own <dialog>: focus stays inside, Escape closes it.
import { useEffect, useRef } from "react";

export function Dialog({ title, onCancel, children }) {
  const ref = useRef(null);
  useEffect(() => {
    ref.current.showModal();
  }, []);
  return (
    <dialog
      ref={ref}
      className="dialog"
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault(); // React removes it
        onCancel?.();
      }}
      onClick={(event) => event.target === ref.current && onCancel?.()}
    >
      <div className="dialog-body">{children}</div>
    </dialog>
  );
}
