"""A load balancer as the lab reads it from the API: two doors to a group, and one that answers itself."""

from lab.balancer.model import Balancer, Listener, Target, TargetGroup

GROUP = TargetGroup(
    arn="arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/site/0123456789abcdef",
    name="site",
    protocol="HTTP",
    targets=(Target("i-1", 80),),
    check_protocol="HTTP",
    check_port="traffic-port",
    check_path="/readyz",
    check_codes="200-299,301",
    interval=10,
    timeout=5,
    healthy=2,
    unhealthy=3,
    drain=20,
)
SECURE = Listener(
    443,
    "HTTPS",
    "ELBSecurityPolicy-TLS13-1-2-Res-2021-06",
    (("chat.localhost",),),
    {"Type": "forward", "TargetGroupArn": GROUP.arn},
)
PLAIN = Listener(
    80,
    "HTTP",
    "",
    (),
    {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
    },
)
FIXED = Listener(
    8080,
    "HTTP",
    "",
    (),
    {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404", "MessageBody": "Nothing here"}},
)
BALANCER = Balancer(
    "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/chat-lab/0123456789abcdef",
    "chat-lab",
    "chat-lab-1.eu-west-1.elb.amazonaws.com",
    "169.254.77.3",
    "lab",
    ("sg-lb",),
    {"eu-west-1a": "10.42.15.254", "eu-west-1b": "10.42.31.254"},
    {
        "idle_timeout.timeout_seconds": "90",
        "routing.http.drop_invalid_header_fields.enabled": "true",
    },
    (PLAIN, SECURE, FIXED),
    (GROUP,),
)
