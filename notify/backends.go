package notify

// backends is every `type` there is. A service with two names is there twice.
var backends = map[string]*backend{
	"discord":  &discordBackend,
	"gotify":   &gotifyBackend,
	"mail":     &mailBackend,
	"matrix":   &matrixBackend,
	"ntfy":     &ntfyBackend,
	"shoutrrr": &shoutrrrBackend,
	"slack":    &slackBackend,
	"smtp":     &mailBackend,
	"telegram": &telegramBackend,
	"webhook":  &webhookBackend,
}
