// The few icons, drawn with one pen: 24 units, stroke in the colour of the text around them.
function Icon({ children, size = 20 }) {
  return (
    <svg
      className="icon"
      viewBox="0 0 24 24"
      width={size}
      height={size}
      fill="none"
      stroke="currentColor"
      strokeWidth="1.8"
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
    >
      {children}
    </svg>
  );
}

export const Fence = ({ size }) => (
  <svg className="icon" viewBox="0 0 24 24" width={size} height={size} fill="currentColor" aria-hidden="true">
    <path d="M3.4 20.5V8.4L5.9 5.2l2.5 3.2v12.1zM9.5 20.5V6.2L12 3l2.5 3.2v14.3zM15.6 20.5V8.4l2.5-3.2 2.5 3.2v12.1z" />
    <path d="M1.5 10.4h21v2.3h-21zM1.5 15.6h21v2.3h-21z" />
  </svg>
);
export const Menu = () => (
  <Icon>
    <path d="M4 7h16M4 12h16M4 17h10" />
  </Icon>
);
export const Close = () => (
  <Icon>
    <path d="M6 6l12 12M18 6L6 18" />
  </Icon>
);
export const Plus = () => (
  <Icon size={18}>
    <path d="M12 5v14M5 12h14" />
  </Icon>
);
export const Send = () => (
  <Icon>
    <path d="M12 19V5M5.5 11.5L12 5l6.5 6.5" />
  </Icon>
);
export const Down = () => (
  <Icon size={18}>
    <path d="M12 5v14M6 13l6 6 6-6" />
  </Icon>
);
export const Pencil = () => (
  <Icon size={16}>
    <path d="M4 20l1-4L16 5l3 3L8 19l-4 1z" />
  </Icon>
);
export const ThemeIcon = ({ theme }) => (
  <Icon size={18}>
    {theme === "light" && (
      <>
        <circle cx="12" cy="12" r="4" />
        <path d="M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1 1M17.4 17.4l1 1M5.6 18.4l1-1M17.4 6.6l1-1" />
      </>
    )}
    {theme === "dark" && <path d="M20 14.5A8.5 8.5 0 1 1 9.5 4a6.8 6.8 0 0 0 10.5 10.5z" />}
    {theme === "system" && (
      <>
        <circle cx="12" cy="12" r="8.5" />
        <path d="M12 3.5v17a8.5 8.5 0 0 0 0-17z" fill="currentColor" stroke="none" />
      </>
    )}
  </Icon>
);
