package object

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
	"gopkg.in/ini.v1"

	"github.com/cimimove/cimimove/ovf/web/fetch"
)

// amazon is the store that is meant when nothing names another.
const amazon = "https://s3.amazonaws.com"

// regionElsewhere is what stores other than Amazon's go by unless told otherwise.
const regionElsewhere = "us-east-1"

// A SettingError is a setting of the environment or of a file that cannot be used.
type SettingError struct {
	Name string // of the variable or file
	Err  error
}

func (e *SettingError) Error() string { return fmt.Sprintf("%s: %v", e.Name, e.Err) }
func (e *SettingError) Unwrap() error { return e.Err }

// settings are those of the environment and of the files that it names.
type settings struct {
	profile  string
	config   *ini.Section // of the profile in ~/.aws/config; nil when there is none
	endpoint *url.URL
	region   string // empty: ask the store
	caFile   string
}

func readSettings() (*settings, error) {
	s := &settings{profile: firstOf(os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE"), "default")}
	if err := s.readConfig(); err != nil {
		return nil, err
	}
	where := firstOf(os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))
	if strings.EqualFold(os.Getenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"), "true") {
		where = ""
	}
	where = firstOf(where, s.configured("endpoint_url"), amazon)
	u, err := url.Parse(where)
	switch {
	case err == nil && u.User != nil:
		return nil, &SettingError{"AWS_ENDPOINT_URL", fetch.ErrUserInfo}
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Path, "/") != "" || u.RawQuery != "":
		return nil, &SettingError{"AWS_ENDPOINT_URL", fmt.Errorf("expected a URL such as https://host:port, got %s", fetch.Redact(where))}
	}
	s.endpoint = u
	s.region = firstOf(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), s.configured("region"))
	if s.region == "" && !s3utils.IsAmazonEndpoint(*u) {
		s.region = regionElsewhere
	}
	s.caFile = firstOf(os.Getenv("AWS_CA_BUNDLE"), s.configured("ca_bundle"))
	return s, nil
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func (s *settings) file(variable, name string) string {
	if f := os.Getenv(variable); f != "" {
		return f
	}
	home := os.Getenv("HOME")
	if home == "" {
		return ""
	}
	return filepath.Join(home, ".aws", name)
}

func (s *settings) readConfig() error {
	name := s.file("AWS_CONFIG_FILE", "config")
	if name == "" {
		return nil
	}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return &SettingError{name, err}
	}
	f, err := ini.Load(b)
	if err != nil {
		// Without the line: it may hold a secret.
		return &SettingError{name, errors.New("is not a configuration file of the AWS form")}
	}
	section := "profile " + s.profile
	if s.profile == "default" && !f.HasSection(section) {
		section = s.profile
	}
	if f.HasSection(section) {
		s.config = f.Section(section)
	}
	return nil
}

func (s *settings) configured(key string) string {
	if s.config == nil {
		return ""
	}
	return s.config.Key(key).String()
}

// metadataTimeout bounds the question whether this machine has a role.
const metadataTimeout = 2 * time.Second

// credentials are found in the order that is usual: environment, shared files,
// and the role of the machine where it has one. Without any, requests are not
// signed, which public buckets take.
func (s *settings) credentials(client *http.Client) (*credentials.Credentials, error) {
	shared := &credentials.FileAWSCredentials{Profile: s.profile}
	providers := []credentials.Provider{&credentials.EnvAWS{}, shared}
	told := firstOf(os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), os.Getenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), os.Getenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")) != ""
	if told || s3utils.IsAmazonEndpoint(*s.endpoint) && !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") {
		role := *client
		role.Timeout = metadataTimeout
		if told {
			role.Timeout = 10 * metadataTimeout
		}
		providers = append(providers, &credentials.IAM{Client: &role})
	}
	chain := credentials.NewChainCredentials(providers)
	v, err := chain.GetWithContext(&credentials.CredContext{Client: client})
	switch {
	case err != nil:
		return nil, &SettingError{"credentials", err}
	case !v.SignerType.IsAnonymous():
		return chain, nil
	case s.profileNamed():
		// A profile that was asked for and gives nothing is no wish for anonymity.
		if _, err = shared.RetrieveWithCredContext(&credentials.CredContext{Client: client}); err == nil {
			err = errors.New("gives no credentials")
		}
		return nil, &SettingError{"AWS_PROFILE " + s.profile, err}
	}
	return credentials.NewStatic("", "", "", credentials.SignatureAnonymous), nil
}

func (s *settings) profileNamed() bool {
	return firstOf(os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE")) != ""
}
